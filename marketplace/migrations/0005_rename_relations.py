import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0004_add_cart")]

    operations = [
        migrations.AlterField(
            model_name="license",
            name="item",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="granted_license",
                to="marketplace.orderitem",
            ),
        ),
        migrations.AlterField(
            model_name="orderitem",
            name="offer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="order_items",
                to="marketplace.licenseoffer",
            ),
        ),
    ]
