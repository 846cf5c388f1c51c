"""The ground floor's tables: users, the history of every row, and what needs review."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID
from zoneinfo import available_timezones

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower, Now

from veza.core.ids import new_id

Row = TypeVar("Row", bound=models.Model, covariant=True)
# A machine: from each status, the statuses it may become, and in a few words why.
Moves = Mapping[str, Mapping[str, str]]
_JOINED = "a row that may wait for its lock is read without its related rows, which would be older than it is"


class LockableQuerySet(models.QuerySet[Row]):
    def locked(self) -> Self:
        """Rows locked until the transaction ends, always in order of id.

        `FOR NO KEY UPDATE`: a plain FOR UPDATE would also block every INSERT that refers to the row. PostgreSQL reads a
        row again after it waited for its lock, and what is joined to it not: related rows are read afterwards.
        """
        assert not self.query.select_related, _JOINED
        return self.select_for_update(no_key=True, of=("self",)).order_by("pk")

    def select_related(self, *fields: Any) -> Self:
        assert not self.query.select_for_update, _JOINED
        return super().select_related(*fields)


class KeyedRow(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The paths to the currencies of amounts that are not in the row's own `currency`: {field: path}.
    other_currencies: ClassVar[Mapping[str, str]] = {}

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.shown_id}"

    @property
    def shown_id(self) -> str:
        """The last eight characters: short enough to read out on the telephone."""
        return str(self.pk)[-8:]


class StatefulRow(KeyedRow):
    """A row whose `status` is moved by `core.states.move` along the edges in `moves`, and by nothing else."""

    moves: ClassVar[Moves]
    # Whether every row begins with the default of `status`. Others are inserted as a provider reports them.
    begins_with_default: ClassVar[bool] = True
    status: Any
    correlation_id: Any

    class Meta:
        abstract = True


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user who logs in with `email`, stored in lower case."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class Language(models.TextChoices):
    ENGLISH = "en", "English"
    FRENCH = "fr", "Français"


def check_time_zone(name: str) -> None:
    """Raise ValidationError unless `name` is a time zone such as `Europe/Paris`."""
    if name not in available_timezones():
        raise ValidationError("Write a time zone as Europe/Paris or UTC.")


class User(AbstractBaseUser, PermissionsMixin):
    """A buyer, a seller or a member of staff. They log in with their e-mail address."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    is_staff = models.BooleanField(default=False)
    # Whether they may log in. False only together with `closed_at`: staff close and reopen accounts by an action.
    is_active = models.BooleanField(default=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    # The user reads it in the closing notice.
    closed_reason = models.TextField(blank=True, db_default="")
    seller_since_at = models.DateTimeField(null=True, blank=True)
    # Those of e-mails to this user.
    language = models.CharField(max_length=5, choices=Language, default=Language.ENGLISH, db_default="en")
    time_zone = models.CharField(max_length=50, default="UTC", db_default="UTC", validators=[check_time_zone])
    created_at = models.DateTimeField(db_default=Now())

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_in_lower_case"),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True) | models.Q(is_active=False),
                name="closed_account_cannot_log_in",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()


class SignInMethod(models.TextChoices):
    PASSWORD = "password", "Password"
    OPERATOR = "operator", "Operator"


class ApiSession(KeyedRow):
    """One log-in to the API. Its tokens name it and the renewal that made them; none of them is stored."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_sessions", db_index=False)
    method = models.CharField(max_length=20, choices=SignInMethod)
    begun_at = models.DateTimeField()
    renewals = models.PositiveIntegerField(default=0, db_default=0)
    renewed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-renewed_at"], name="api_session_of_user")]


class SignIn(KeyedRow):
    """A network from which a user has logged in, and when they last did."""

    user = models.ForeignKey(User, models.CASCADE, related_name="sign_ins", db_index=False)
    network = models.CharField(max_length=45)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "network"], name="one_sign_in_per_network")]


class StatusChange(KeyedRow):
    """One move of one row, written in the commit that made it. Append-only in the database."""

    machine = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    from_status = models.CharField(max_length=30)
    to_status = models.CharField(max_length=30)
    cause_kind = models.CharField(max_length=20)
    cause_id = models.UUIDField(null=True, blank=True)
    actor = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    correlation_id = models.UUIDField()
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["correlation_id", "at"], name="status_change_story"),
            models.Index(fields=["subject_id"], name="status_change_subject"),
        ]


class ProviderCall(KeyedRow):
    """One call to a provider, for support to read. No bodies and no secrets."""

    provider = models.CharField(max_length=20)
    subject = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    our_id = models.CharField(max_length=120, blank=True)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=200)
    outcome = models.CharField(max_length=20)
    detail = models.CharField(max_length=300, blank=True)
    status = models.PositiveSmallIntegerField()
    milliseconds = models.PositiveIntegerField()
    correlation_id = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["correlation_id", "at"], name="provider_call_story"),
            models.Index(fields=["subject_id"], name="provider_call_subject"),
            models.Index(fields=["provider", "-id"], name="provider_call_latest"),
        ]


class ReviewItem(KeyedRow):
    """A decision for staff, with the money in doubt and what to do about it."""

    class Status(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    correlation_id = models.UUIDField(null=True, blank=True, db_index=True)
    amount_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    why = models.TextField()
    what_to_do = models.TextField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "core_operatorcase"
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_id"],
                condition=models.Q(closed_at__isnull=True),
                name="one_open_case_per_subject_and_kind",
            ),
        ]

    @property
    def status(self) -> str:
        return self.Status.CLOSED if self.closed_at else self.Status.OPEN


class EmailStatus(models.TextChoices):
    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"
    FAILED = "failed"


class EmailQuerySet(LockableQuerySet["Email"]):
    def waiting(self) -> Self:
        """E-mails that a worker has yet to send."""
        return self.filter(status=EmailStatus.WAITING, next_attempt_at__isnull=False)


class Email(StatefulRow):
    """One e-mail about one fact to one recipient, written in the commit of the fact and sent by a worker.

    `occasion` tells two facts of one kind about one subject apart, such as a period's end. A group address has no
    `recipient`. What was sent, and where, is stored when the mail server has accepted it.
    """

    moves: ClassVar[Moves] = {
        EmailStatus.WAITING: {
            EmailStatus.SENT: "the mail server accepted it",
            EmailStatus.DROPPED: "it was not true any more when its turn came",
            EmailStatus.FAILED: "the mail server refused it, or its attempts are used up",
        },
    }

    message = models.CharField(max_length=60)
    recipient = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="emails")
    address = models.EmailField(blank=True)
    subject = models.CharField(max_length=60)
    subject_id = models.UUIDField()
    occasion = models.CharField(max_length=100, blank=True)
    correlation_id = models.UUIDField(db_index=True)
    copy_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="copies")
    status = models.CharField(max_length=10, choices=EmailStatus, default=EmailStatus.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    last_error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    language = models.CharField(max_length=5, blank=True)
    subject_line = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[EmailQuerySet] = EmailQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "e-mail"
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=EmailStatus.values), name="email_status_known"),
            models.CheckConstraint(
                condition=models.Q(recipient__isnull=False) | ~models.Q(address=""), name="email_has_a_recipient"
            ),
            models.UniqueConstraint(
                fields=["subject_id", "message", "occasion", "recipient"],
                condition=models.Q(copy_of__isnull=True),
                name="one_email_per_fact_and_recipient",
            ),
            models.UniqueConstraint(
                fields=["subject_id", "message", "occasion", "address"],
                condition=models.Q(copy_of__isnull=True, recipient__isnull=True),
                name="one_email_per_fact_and_group",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(next_attempt_at__isnull=False), name="email_due"
            ),
        ]


class EmailOptOut(KeyedRow):
    """A user who has unsubscribed from one message."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    message = models.CharField(max_length=60)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "message"], name="one_opt_out_per_user_and_message")]


class Heartbeat(models.Model):
    """When each worker last finished a tick, and how many rows it handled."""

    name = models.CharField(max_length=60, primary_key=True)
    beat_at = models.DateTimeField()
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class ProviderRate(models.Model):
    """When a provider may next be called: one row a provider, shared by every process on every machine."""

    provider = models.CharField(max_length=20, primary_key=True)
    next_free_at = models.DateTimeField()


class ListComparison(models.Model):
    """Up to which creation time one of a provider's lists was compared with our rows, at one age of its objects."""

    list_name = models.CharField(max_length=60)
    age_days = models.PositiveSmallIntegerField()
    compared_until_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["list_name", "age_days"], name="one_mark_per_list_and_age")]

    def __str__(self) -> str:
        return f"{self.list_name}, {self.age_days} days"


class PlatformSetting(models.Model):
    """A switch that staff turn while Veza runs, such as maintenance mode."""

    name = models.CharField(max_length=60, primary_key=True)
    value = models.JSONField()
    changed_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    changed_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class IdempotentRequest(KeyedRow):
    """A money request under its Idempotency-Key: a retry finds the first answer or the first row.

    `result_id` is the id of the row this request will make, chosen before any work is done.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, db_index=False)
    method = models.CharField(max_length=8)
    route = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    body_sha256 = models.CharField(max_length=64)
    result_id = models.UUIDField(default=new_id)
    reply_status = models.PositiveSmallIntegerField(null=True)
    reply = models.JSONField(null=True)
    leased_until_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "method", "route", "key"], name="one_request_per_idempotency_key"),
        ]


def correlation_id_of(row: object) -> UUID:
    """What ties a row to its order or its subscription: that one's id."""
    correlation_id: UUID = row.correlation_id  # type: ignore[attr-defined]
    return correlation_id
