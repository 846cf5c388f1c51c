from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connect", "0003_add_set_offs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="connectedaccount",
            name="currently_due",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name="connectedaccount",
            name="described_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="connectedaccount",
            name="key_epoch",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="connectedaccount",
            name="look_due_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="connectedaccount",
            index=models.Index(
                condition=models.Q(("look_due_at__isnull", False)), fields=["look_due_at"], name="account_look_due"
            ),
        ),
    ]
