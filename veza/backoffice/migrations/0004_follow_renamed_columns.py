from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("backoffice", "0003_rename_to_field_words"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    # PostgreSQL has renamed the columns inside these already; only what Django knows of them follows.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelOptions(
                    name="staffaction",
                    options={
                        "permissions": [("export_rows", "May export lists as files")],
                        "verbose_name": "staff action",
                        "verbose_name_plural": "staff actions",
                    },
                ),
                migrations.RemoveConstraint(
                    model_name="flowhour",
                    name="one_sum_per_hour_and_flow",
                ),
                migrations.RemoveIndex(
                    model_name="staffaction",
                    name="staff_act_story",
                ),
                migrations.AddIndex(
                    model_name="staffaction",
                    index=models.Index(fields=["correlation_id", "at"], name="staff_act_story"),
                ),
                migrations.AddConstraint(
                    model_name="flowhour",
                    constraint=models.UniqueConstraint(
                        fields=("hour_at", "currency", "kind", "debit", "credit"), name="one_sum_per_hour_and_flow"
                    ),
                ),
            ]
        )
    ]
