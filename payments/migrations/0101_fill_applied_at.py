from django.db import migrations

from veza.core.migration_operations import without_time_limit

# The postings say which payment fulfilled what. One that fulfilled an order of which nothing could be delivered has
# none: the marketplace's own migration fills that in.
FILL = """
UPDATE payments_payment SET applied_at = applied.at
FROM (SELECT payment_id, min(at) AS at FROM payments_posting WHERE kind = 'applied' GROUP BY payment_id) AS applied
WHERE applied.payment_id = payments_payment.id
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0100_mark_applied_payments")]

    operations = [without_time_limit(), migrations.RunSQL(FILL, migrations.RunSQL.noop)]
