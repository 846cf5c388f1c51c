from django.db import migrations

from veza.core.migration_operations import without_time_limit

# An order of which nothing could be delivered has no posting that says which payment completed it. It had one only.
FILL = """
UPDATE payments_payment SET applied_at = orders.completed_at
FROM orders
WHERE payments_payment.purpose = 'order' AND payments_payment.purpose_id = orders.id
  AND orders.completed_at IS NOT NULL AND payments_payment.succeeded_at IS NOT NULL
  AND payments_payment.applied_at IS NULL
  AND NOT EXISTS (SELECT FROM payments_payment AS other
                  WHERE other.purpose = 'order' AND other.purpose_id = orders.id AND other.id <> payments_payment.id
                    AND (other.applied_at IS NOT NULL OR other.succeeded_at IS NOT NULL))
"""


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0043_let_orders_be_paid_again"),
        ("payments", "0102_allow_one_applied_payment"),
    ]

    operations = [without_time_limit(), migrations.RunSQL(FILL, migrations.RunSQL.noop)]
