from django.db import migrations, models
from django.db.models import Q

from veza.core.migration_operations import Frozen


class Migration(migrations.Migration):
    """A row of a plan is one version of it, whose price never changes."""

    dependencies = [("subscriptions", "0052_add_upgrades")]

    operations = [
        migrations.AddField(
            model_name="plan", name="version", field=models.PositiveSmallIntegerField(db_default=1, default=1)
        ),
        migrations.AlterField(model_name="plan", name="name", field=models.CharField(max_length=60)),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(fields=["name", "version"], name="one_plan_per_name_and_version"),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(
                fields=["name"], condition=Q(("active", True)), name="one_active_plan_per_name"
            ),
        ),
        Frozen("subscriptions_plan", ["name", "version", "price_minor", "currency", "tax_basis_points", "interval"]),
    ]
