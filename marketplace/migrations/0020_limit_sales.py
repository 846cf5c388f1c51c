from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0009_restrict_sellers")]

    operations = [
        migrations.AddField("licenseoffer", "once_per_buyer", models.BooleanField(blank=True, null=True)),
        migrations.AddField("orderitem", "held_before", models.JSONField(db_default={}, default=dict)),
    ]
