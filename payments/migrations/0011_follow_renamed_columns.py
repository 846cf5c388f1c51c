from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0010_rename_to_field_words"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    # PostgreSQL has renamed the columns inside these already; only what Django knows of them follows.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name="posting",
                    name="a_fact_is_posted_once",
                ),
                migrations.RemoveIndex(
                    model_name="dispute",
                    name="dispute_due",
                ),
                migrations.RemoveIndex(
                    model_name="dispute",
                    name="dispute_story",
                ),
                migrations.RemoveIndex(
                    model_name="payment",
                    name="payment_due",
                ),
                migrations.RemoveIndex(
                    model_name="payment",
                    name="payment_story",
                ),
                migrations.RemoveIndex(
                    model_name="posting",
                    name="posting_story",
                ),
                migrations.RemoveIndex(
                    model_name="refund",
                    name="refund_due",
                ),
                migrations.RemoveIndex(
                    model_name="refund",
                    name="refund_story",
                ),
                migrations.RemoveIndex(
                    model_name="webhookdelivery",
                    name="webhook_story",
                ),
                migrations.AddIndex(
                    model_name="dispute",
                    index=models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="dispute_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="dispute",
                    index=models.Index(fields=["correlation_id"], name="dispute_story"),
                ),
                migrations.AddIndex(
                    model_name="payment",
                    index=models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="payment_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="payment",
                    index=models.Index(fields=["correlation_id"], name="payment_story"),
                ),
                migrations.AddIndex(
                    model_name="posting",
                    index=models.Index(fields=["correlation_id", "at"], name="posting_story"),
                ),
                migrations.AddIndex(
                    model_name="refund",
                    index=models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="refund_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="refund",
                    index=models.Index(fields=["correlation_id"], name="refund_story"),
                ),
                migrations.AddIndex(
                    model_name="webhookdelivery",
                    index=models.Index(fields=["correlation_id", "received_at"], name="webhook_story"),
                ),
                migrations.AddConstraint(
                    model_name="posting",
                    constraint=models.UniqueConstraint(fields=("reference", "leg"), name="a_fact_is_posted_once"),
                ),
            ]
        )
    ]
