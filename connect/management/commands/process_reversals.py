from connect.management.due_rows import DrainCommand
from connect.models import SellerTransfer, SellerTransferQuerySet
from connect.reversals import reversal_requests
from connect.states import TransferStatus
from veza.core.causes import Cause
from veza.core.sweeps import Tally


class Command(DrainCommand):
    help = "Take back from sellers what is due, now."

    def due(self) -> SellerTransferQuerySet:
        return SellerTransfer.objects.to_reverse().due()

    def given_up(self) -> SellerTransferQuerySet:
        lost = SellerTransfer.objects.filter(status=TransferStatus.PERMANENTLY_FAILED)
        return lost.filter(stripe_transfer_id__isnull=False)

    def retry(self, row: SellerTransfer, *, cause: Cause) -> object:
        return reversal_requests.retry(transfer_id=row.pk, cause=cause)

    def drain(self) -> Tally:
        return reversal_requests.process_due()
