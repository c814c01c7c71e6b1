"""Shapes of the client's word: yes or no to trades, texts to agree to, and what still waits."""

from enum import StrEnum
from typing import Any

from rest_framework import serializers

from accounts.domain.disclosures import DisclosureKind
from accounts.serializers import ReferenceSerializer
from rebalancer.domain.lifecycle import ProposalStatus
from rebalancer.operations.consents import NOTE_LENGTH_MAX
from robo.common.api.serializers import Code, InputSerializer, Money, Text, Weight

HASH_LENGTH = 64
AGREED_MAX = 50


class YesOrNo(StrEnum):
    """A client's own word on trades."""

    YES = "YES"
    NO = "NO"


class AnswerSerializer(InputSerializer):
    """A client's yes or no, bound to what was seen."""

    answer = Code(YesOrNo)
    content_hash = Text(max_length=HASH_LENGTH, help_text="as the proposal showed it")
    note = Text(max_length=NOTE_LENGTH_MAX, allow_blank=True, default="")


class ClientAnswerSerializer(serializers.Serializer[Any]):
    """What a client of the household said to the trades."""

    answer = serializers.SerializerMethodField()
    answered_by = serializers.CharField(source="answered_by.name")
    answered_at = serializers.DateTimeField()
    note = serializers.CharField()

    def get_answer(self, row: Any) -> YesOrNo:
        """Return the client's word."""
        return YesOrNo.YES if row.is_yes else YesOrNo.NO


class AnsweredSerializer(ClientAnswerSerializer):
    """An answer as it is on record, and where the proposal stands with it."""

    proposal_id = serializers.UUIDField(source="proposal.public_id")
    status = Code(ProposalStatus, source="proposal.status")


class ClientWordSerializer(serializers.Serializer[Any]):
    """What a proposal needs of the client."""

    is_answer_wanted = serializers.BooleanField(
        help_text="a client of the household has to say yes before it is sent, and has not answered"
    )
    client_answer = ClientAnswerSerializer(allow_null=True)
    missing = serializers.ListField(
        child=serializers.CharField(),
        help_text="what keeps it from being sent, approved or not, in sentences",
    )
    rationale = serializers.ListField(
        child=serializers.CharField(), help_text="why, in a client's words; empty for staff"
    )


# --- Texts and mandates ---------------------------------------------------------------------------


class DocumentSerializer(serializers.Serializer[Any]):
    """A text for clients that is in force or announced, and the household's consent to it."""

    id = serializers.UUIDField(source="disclosure.public_id")
    kind = Code(DisclosureKind, source="disclosure.kind")
    title = serializers.CharField(source="disclosure.title")
    version = serializers.IntegerField(source="disclosure.version")
    effective_date = serializers.DateField(source="disclosure.effective_date")
    is_in_force = serializers.BooleanField(help_text="if not, it takes effect on `effective_date`")
    text = serializers.CharField(source="disclosure.text")
    text_hash = serializers.CharField(source="disclosure.text_hash")
    agreed_by = serializers.CharField(
        source="consent.client.name", default=None, allow_null=True, help_text="null: nobody yet"
    )
    agreed_at = serializers.DateTimeField(source="consent.given_at", default=None, allow_null=True)


class MandateSerializer(serializers.Serializer[Any]):
    """A client's order that the firm may trade an account without asking; null: no limit."""

    id = serializers.UUIDField(source="public_id")
    signed_by = serializers.CharField()
    signed_on = serializers.DateField()
    starts_on = serializers.DateField()
    ends_on = serializers.DateField(allow_null=True, help_text="the last day")
    trade_amount_max = Money(allow_null=True, help_text="of one trade")
    turnover_share_max = Weight(
        allow_null=True, help_text="of one proposal, of the account's value"
    )
    asset_classes = serializers.ListField(
        child=serializers.CharField(), help_text="codes that may trade; empty: all"
    )
    text = serializers.CharField(help_text="the document, word for word")
    text_hash = serializers.CharField()
    recorded_at = serializers.DateTimeField()


class ReadinessSerializer(serializers.Serializer[Any]):
    """An open account: who decides about its trades, and what stands in the way of any."""

    account = ReferenceSerializer()
    is_discretionary = serializers.BooleanField(
        source="account.is_discretionary", help_text="if not, each proposal needs the client's yes"
    )
    mandate = MandateSerializer(allow_null=True)
    missing = serializers.ListField(
        child=serializers.CharField(),
        help_text="what the household has to settle before anything is traded, in sentences",
    )


class DocumentsSerializer(serializers.Serializer[Any]):
    """What a household agreed to and has still to read, and what its accounts wait for."""

    household = ReferenceSerializer()
    documents = DocumentSerializer(many=True, help_text="those that wait for consent first")
    accounts = ReadinessSerializer(many=True)


class AgreedSerializer(InputSerializer):
    """One text that a client has read and agrees to."""

    id = serializers.UUIDField()
    text_hash = Text(max_length=HASH_LENGTH, help_text="as the list of documents showed it")


class ConsentSerializer(InputSerializer):
    """The texts that a client agrees to, for the household."""

    agree = serializers.ListField(
        child=AgreedSerializer(), allow_empty=False, max_length=AGREED_MAX
    )
