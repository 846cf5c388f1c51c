from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_create_tables")]

    operations = [
        migrations.AddField(
            model_name="plan", name="can_distribute", field=models.BooleanField(db_default=False, default=False)
        ),
        migrations.AddField(
            model_name="plan", name="tax_basis_points", field=models.PositiveIntegerField(db_default=0, default=0)
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("tax_basis_points__lte", 10_000)), name="plan_tax_at_most_whole"
            ),
        ),
    ]
