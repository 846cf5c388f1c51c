from django.db import migrations


class Migration(migrations.Migration):
    """Payments that wait to be paid get their end; those that were paid, their currency."""

    dependencies = [("payments", "0007_add_clocks")]

    operations = [
        migrations.RunSQL(
            [
                "UPDATE payments_payment SET close_after = coalesce(first_sent_at, created_at) "
                "+ session_seconds * interval '1 second' + interval '5 minutes' "
                "WHERE status IN ('created', 'pending') AND NOT off_session",
                "UPDATE payments_payment SET received_currency = currency WHERE received_minor > 0",
            ],
            migrations.RunSQL.noop,
        ),
    ]
