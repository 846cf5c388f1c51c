from django.db import migrations


class Migration(migrations.Migration):
    """The worker reads every account once more: why Stripe disables one was not stored until now."""

    dependencies = [("connect", "0030_store_disabled_reason")]

    operations = [
        migrations.RunSQL(
            "UPDATE connect_connectedaccount SET refresh_due_at = now() WHERE stripe_account_id IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
