import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connect", "0008_rename_to_field_words"),
        ("marketplace", "0004_add_cart"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    # PostgreSQL has renamed the columns inside these already; only what Django knows of them follows.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name="sellertransfer",
                    name="transfer_given_back_once",
                ),
                migrations.RemoveIndex(
                    model_name="connectedaccount",
                    name="account_look_due",
                ),
                migrations.RemoveIndex(
                    model_name="sellerpayout",
                    name="payout_due",
                ),
                migrations.RemoveIndex(
                    model_name="sellertransfer",
                    name="transfer_look_due",
                ),
                migrations.RemoveIndex(
                    model_name="transferreversal",
                    name="reversal_story",
                ),
                migrations.AddIndex(
                    model_name="connectedaccount",
                    index=models.Index(
                        condition=models.Q(("refresh_due_at__isnull", False)),
                        fields=["refresh_due_at"],
                        name="account_look_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="sellerpayout",
                    index=models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="payout_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="sellertransfer",
                    index=models.Index(
                        condition=models.Q(("refresh_due_at__isnull", False)),
                        fields=["refresh_due_at"],
                        name="transfer_look_due",
                    ),
                ),
                migrations.AddIndex(
                    model_name="transferreversal",
                    index=models.Index(fields=["correlation_id"], name="reversal_story"),
                ),
                migrations.AddConstraint(
                    model_name="sellertransfer",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            ("covered_minor__gte", 0),
                            (
                                "covered_minor__lte",
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("amount_minor"), "-", models.F("set_off_minor")
                                        ),
                                        "-",
                                        models.F("reversal_target_minor"),
                                    ),
                                    "+",
                                    models.F("external_reversed_minor"),
                                ),
                            ),
                            ("external_reversed_minor__gte", 0),
                            ("external_reversed_minor__lte", models.F("reversal_target_minor")),
                            ("undone_minor__gte", 0),
                            ("undone_minor__lte", models.F("set_off_minor")),
                        ),
                        name="transfer_given_back_once",
                    ),
                ),
            ]
        )
    ]
