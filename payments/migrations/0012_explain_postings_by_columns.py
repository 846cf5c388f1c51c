import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

import veza.core.ids

# The text told kind, subject and number apart by colons; a reversal by Stripe's id, a statement by the line's name.
SPLIT = """
ALTER TABLE payments_posting DISABLE TRIGGER payments_posting_append_only;
UPDATE payments_posting SET
    kind = CASE split_part(reference, ':', 1)
        WHEN 'payment' THEN 'received' WHEN 'order' THEN 'applied' WHEN 'invoice' THEN 'applied'
        WHEN 'case' THEN 'write_off' ELSE split_part(reference, ':', 1) END,
    subject_id = CASE WHEN split_part(reference, ':', 1) IN ('reversal', 'statement') THEN md5(reference)::uuid
        ELSE split_part(reference, ':', 2)::uuid END,
    number = CASE split_part(reference, ':', 1)
        WHEN 'payment' THEN split_part(reference, ':', 4)::bigint
        WHEN 'refund' THEN split_part(reference, ':', 3)::bigint
        WHEN 'dispute' THEN split_part(reference, ':', 3)::bigint ELSE 0 END;
DO $$ BEGIN
    IF to_regclass('seller_transfer_reversals') IS NOT NULL THEN
        UPDATE payments_posting posting SET subject_id = reversal.id FROM seller_transfer_reversals reversal
        WHERE posting.reference = 'reversal:' || reversal.stripe_reversal_id;
    END IF;
END $$;
INSERT INTO payments_statemententry (id, name, kind, amount_minor, currency, at)
SELECT subject_id, substr(reference, 11), CASE debit_id WHEN 'psp_fees' THEN 'fee' ELSE 'top_up' END,
    amount_minor, currency, at
FROM payments_posting WHERE kind = 'statement';
INSERT INTO payments_writeoff (id, payment_id, correlation_id, subject, subject_id, account_id, amount_minor, currency,
    recovered_minor, recoveries, review_item_id, decided_by, reason, created_at)
SELECT posting.subject_id, posting.payment_id, posting.correlation_id, item.subject, item.subject_id,
    posting.credit_id, posting.amount_minor, posting.currency, 0, 0, item.id, item.closed_by, item.note, posting.at
FROM payments_posting posting JOIN core_operatorcase item ON item.id = posting.subject_id
WHERE posting.kind = 'write_off';
ALTER TABLE payments_posting ENABLE TRIGGER payments_posting_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0011_follow_renamed_columns"),
        ("core", "0005_follow_renamed_columns"),
    ]

    operations = [
        migrations.CreateModel(
            name="StatementEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
                ("kind", models.CharField(max_length=10)),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("at", models.DateTimeField()),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name_plural": "statement entries",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="statement_entry_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["top_up", "fee"])), name="statement_entry_kind_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WriteOff",
            fields=[
                (
                    "id",
                    models.UUIDField(default=veza.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("correlation_id", models.UUIDField(db_index=True)),
                ("subject", models.CharField(max_length=60)),
                ("subject_id", models.UUIDField(db_index=True)),
                ("amount_minor", models.BigIntegerField()),
                ("recovered_minor", models.BigIntegerField(default=0)),
                ("recoveries", models.PositiveIntegerField(default=0)),
                ("currency", models.CharField(max_length=3)),
                ("review_item_id", models.UUIDField()),
                ("decided_by", models.CharField(blank=True, max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.ledgeraccount"
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="write_offs", to="payments.payment"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="write_off_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("recovered_minor__gte", 0), ("recovered_minor__lte", models.F("amount_minor"))
                        ),
                        name="write_off_recovered_within_amount",
                    ),
                ],
            },
        ),
        migrations.AddField("posting", "kind", models.CharField(max_length=10, null=True)),
        migrations.AddField("posting", "subject_id", models.UUIDField(null=True)),
        migrations.AddField("posting", "number", models.BigIntegerField(default=0)),
        migrations.RunSQL(SPLIT, migrations.RunSQL.noop),
        migrations.RemoveConstraint("posting", "a_fact_is_posted_once"),
    ]
