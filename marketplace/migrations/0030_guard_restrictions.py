from django.conf import settings
from django.db import migrations, models

# A restriction is ended once; nothing else of it ever changes.
_TABLE = "marketplace_sellerrestriction"
_FINAL = """
CREATE TRIGGER marketplace_sellerrestriction_final BEFORE UPDATE ON marketplace_sellerrestriction FOR EACH ROW
WHEN (
    OLD.ended_at IS NOT NULL
    OR (OLD.id, OLD.seller_id, OLD.kind, OLD.reason, OLD.imposed_by, OLD.review_at, OLD.since_at)
    IS DISTINCT FROM (NEW.id, NEW.seller_id, NEW.kind, NEW.reason, NEW.imposed_by, NEW.review_at, NEW.since_at)
)
EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER marketplace_sellerrestriction_kept BEFORE DELETE ON marketplace_sellerrestriction
FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
"""
_NOT_FINAL = f"""
DROP TRIGGER marketplace_sellerrestriction_final ON {_TABLE};
DROP TRIGGER marketplace_sellerrestriction_kept ON {_TABLE};
"""


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0020_limit_sales"),
        ("core", "0030_close_accounts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="sellerrestriction",
            index=models.Index(
                fields=["review_at"], condition=models.Q(("ended_at__isnull", True)), name="restriction_review_due"
            ),
        ),
        migrations.RunSQL(_FINAL, _NOT_FINAL),
    ]
