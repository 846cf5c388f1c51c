from django.db import migrations, models

from veza.core.migration_operations import create_index, without_time_limit


class Migration(migrations.Migration):
    # Subscriptions are written while this runs.
    atomic = False
    dependencies = [("subscriptions", "0061_create_price_changes")]

    operations = [
        without_time_limit(),
        create_index(
            "subscription_live_of_plan",
            "user_subscriptions (plan_id) WHERE status IN ('pending_payment', 'trialing', 'active', 'past_due')",
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(
                    model_name="subscription",
                    index=models.Index(
                        condition=models.Q(("status__in", ("pending_payment", "trialing", "active", "past_due"))),
                        fields=["plan"],
                        name="subscription_live_of_plan",
                    ),
                ),
            ],
        ),
    ]
