from connect.management.due_rows import DrainCommand
from connect.models import SellerTransfer, SellerTransferQuerySet
from connect.reversals import reversal_requests
from connect.states import TransferStatus
from veza.core.causes import Cause
from veza.core.sweeps import Tally


class Command(DrainCommand):
    help = "Reverse the transfers to sellers that are due, now."

    def due(self) -> SellerTransferQuerySet:
        return SellerTransfer.objects.to_reverse().due()

    def failures(self) -> SellerTransferQuerySet:
        rows = SellerTransfer.objects.filter(status=TransferStatus.PERMANENTLY_FAILED)
        return rows.filter(stripe_transfer_id__isnull=False)

    def retry(self, row: SellerTransfer, *, cause: Cause) -> object:
        return reversal_requests.retry(transfer_id=row.pk, cause=cause)

    def drain(self) -> Tally:
        return reversal_requests.process_due()
