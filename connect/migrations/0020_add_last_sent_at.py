from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connect", "0010_rename_amounts_to_field_words")]

    operations = [
        migrations.AddField("transferreversal", "last_sent_at", models.DateTimeField(blank=True, null=True)),
    ]
