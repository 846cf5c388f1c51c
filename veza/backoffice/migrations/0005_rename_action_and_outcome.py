from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0004_follow_renamed_columns")]

    operations = [
        migrations.RenameField("staffaction", "act", "action"),
        migrations.RenameField("staffaction", "word", "outcome"),
    ]
