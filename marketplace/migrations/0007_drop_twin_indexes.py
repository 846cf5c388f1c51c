import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from veza.core.migration_operations import drop_index, without_time_limit


class Migration(migrations.Migration):
    # Rows are written while this runs. Each of these indexes had a twin that serves its queries, or no query at all.
    atomic = False
    dependencies = [
        ("marketplace", "0006_index_products_for_sale"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "cartitem",
                    "offer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="marketplace.licenseoffer",
                    ),
                ),
                migrations.AlterField(
                    "cartitem",
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cart_items",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "license",
                    "holder",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="licenses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "licenseoffer",
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="offers",
                        to="marketplace.product",
                    ),
                ),
                migrations.AlterField(
                    "order",
                    "buyer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "orderitem",
                    "offer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="order_items",
                        to="marketplace.licenseoffer",
                    ),
                ),
                migrations.AlterField(
                    "orderitem",
                    "order",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="marketplace.order",
                    ),
                ),
                migrations.AlterField(
                    "product",
                    "seller",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="products",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    "refundline",
                    "refund",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="payments.refund",
                    ),
                ),
            ]
        ),
        without_time_limit(),
        drop_index("marketplace_cartitem_offer_id_78fac325", "marketplace_cartitem (offer_id)"),
        drop_index("marketplace_cartitem_owner_id_0e98e254", "marketplace_cartitem (owner_id)"),
        drop_index("licenses_holder_id_a12fbea6", "licenses (holder_id)"),
        drop_index("marketplace_licenseoffer_product_id_2bc739fa", "marketplace_licenseoffer (product_id)"),
        drop_index("orders_buyer_id_3d1f9476", "orders (buyer_id)"),
        drop_index("marketplace_orderitem_offer_id_4df7ec64", "marketplace_orderitem (offer_id)"),
        drop_index("marketplace_orderitem_order_id_578527bb", "marketplace_orderitem (order_id)"),
        drop_index("marketplace_product_seller_id_8e970131", "marketplace_product (seller_id)"),
        drop_index("marketplace_refundline_refund_id_7bfe7add", "marketplace_refundline (refund_id)"),
    ]
