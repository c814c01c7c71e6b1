"""Shape and check what people say about orders and reports that fit nothing."""

from django import forms

from rebalancer.domain.reconciliation import SliceAnswer

TAKEN = "TAKEN"
NOTE_LENGTH_MAX = 300


class SliceAnswerForm(forms.Form):
    """What became of an order whose outcome nobody knows."""

    answer = forms.ChoiceField(
        choices=[
            (TAKEN, "The broker has it: go on asking"),
            (SliceAnswer.SEND.value, "It never had it: send it again"),
            (SliceAnswer.DROP.value, "It never had it: drop it"),
        ]
    )
    reason = forms.CharField(max_length=NOTE_LENGTH_MAX, label="How you know")


class ResolutionForm(forms.Form):
    """How a report that fitted nothing was dealt with."""

    resolution = forms.CharField(max_length=NOTE_LENGTH_MAX, label="How it was dealt with")
