from connect.management.due_rows import DrainCommand
from connect.models import SellerTransfer, SellerTransferQuerySet
from connect.states import TransferStatus
from connect.transfers import transfer_requests
from veza.core.causes import Cause
from veza.core.sweeps import Tally


class Command(DrainCommand):
    help = "Send the transfers to sellers that are due, now."

    def due(self) -> SellerTransferQuerySet:
        return SellerTransfer.objects.unsent().due()

    def failures(self) -> SellerTransferQuerySet:
        rows = SellerTransfer.objects.filter(status=TransferStatus.PERMANENTLY_FAILED)
        return rows.filter(completed_at__isnull=True)

    def retry(self, row: SellerTransfer, *, cause: Cause) -> object:
        return transfer_requests.retry(transfer_id=row.pk, cause=cause)

    def drain(self) -> Tally:
        return transfer_requests.send_due()
