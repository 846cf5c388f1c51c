from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0010_add_refund_applications")]

    operations = [
        migrations.AddField("licenseoffer", "once_per_buyer", models.BooleanField(blank=True, null=True)),
        migrations.AddField("orderitem", "held_before", models.JSONField(db_default={}, default=dict)),
    ]
