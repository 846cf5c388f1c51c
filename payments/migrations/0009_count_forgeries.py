from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_fill_clocks")]

    operations = [
        migrations.CreateModel(
            name="ForgedMinute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(max_length=20)),
                ("minute_at", models.DateTimeField()),
                ("deliveries", models.BigIntegerField()),
                ("bytes", models.BigIntegerField()),
            ],
            options={
                "db_table": "webhook_forgeries",
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "minute_at"), name="one_count_per_provider_and_minute")
                ],
            },
        ),
    ]
