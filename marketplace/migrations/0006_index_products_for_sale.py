from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

from veza.core.migration_operations import without_time_limit


class Migration(migrations.Migration):
    # Products are listed and bought while this runs.
    atomic = False
    dependencies = [("marketplace", "0005_rename_relations")]

    operations = [
        without_time_limit(),
        AddIndexConcurrently(
            "product",
            models.Index(
                condition=models.Q(("published", True)),
                fields=["-created_at", "-id"],
                name="product_for_sale_newest_first",
            ),
        ),
        AddIndexConcurrently(
            "product",
            models.Index(
                condition=models.Q(("published", True)), fields=["title", "id"], name="product_for_sale_by_title"
            ),
        ),
        AddIndexConcurrently(
            "product", models.Index(fields=["seller", "-created_at", "-id"], name="product_seller_newest_first")
        ),
        AddIndexConcurrently(
            "licenseoffer",
            models.Index(
                condition=models.Q(("active", True)),
                fields=["license", "price_minor", "product"],
                name="offer_by_license_and_price",
            ),
        ),
        RemoveIndexConcurrently("product", "product_newest_first"),
    ]
