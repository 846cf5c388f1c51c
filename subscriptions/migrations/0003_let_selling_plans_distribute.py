from django.db import migrations


class Migration(migrations.Migration):
    """Plans made before the two rights were told apart gave both."""

    dependencies = [("subscriptions", "0002_add_plan_terms")]

    operations = [
        migrations.RunSQL(
            "UPDATE subscriptions_plan SET can_distribute = true WHERE can_sell_on_marketplace",
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
