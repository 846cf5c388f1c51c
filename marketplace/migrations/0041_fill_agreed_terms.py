from django.db import migrations

# What is in a cart now was shown at its offer's price of now: a cart has always shown that one.
FILL = """
UPDATE marketplace_cartitem SET
    price_minor = offer.price_minor,
    tax_minor = (offer.price_minor * offer.tax_basis_points + 5000) / 10000,
    currency = offer.currency,
    rights = offer.rights
FROM marketplace_licenseoffer AS offer
WHERE offer.id = marketplace_cartitem.offer_id
"""


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0040_keep_agreed_terms")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
