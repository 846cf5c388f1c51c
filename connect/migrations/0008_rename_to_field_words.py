from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("connect", "0007_write_debts_off")]

    operations = [
        migrations.RenameField("connectedaccount", "look_due_at", "refresh_due_at"),
        migrations.RenameField("sellertransfer", "look_due_at", "refresh_due_at"),
        migrations.RenameField("sellertransfer", "adopted_minor", "external_reversed_minor"),
        migrations.RenameField("transferreversal", "story_id", "correlation_id"),
        migrations.RenameField("sellerpayout", "next_check_at", "next_attempt_at"),
    ]
