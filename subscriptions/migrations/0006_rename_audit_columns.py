from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0005_guard_moves")]

    # PostgreSQL renames the column inside the index itself; only what Django knows of the index follows.
    operations = [
        migrations.RenameField("unpaidsubscriptionaudit", "why", "reason"),
        migrations.RenameField("unpaidsubscriptionaudit", "found_at", "detected_at"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex("unpaidsubscriptionaudit", name="unpaid_audit_newest_first"),
                migrations.AddIndex(
                    "unpaidsubscriptionaudit",
                    models.Index(fields=["-detected_at"], name="unpaid_audit_newest_first"),
                ),
            ]
        ),
    ]
