"""Shape and check what people say about orders and reports that fit nothing."""

from django import forms

from rebalancer.domain.reconciliation import SliceAnswer

NOTE_LENGTH_MAX = 300
ANSWERS = {
    SliceAnswer.TAKEN: "The broker has it: go on asking",
    SliceAnswer.SEND: "It never had it: send it again",
    SliceAnswer.DROP: "It never had it: drop it",
    SliceAnswer.END: "Nothing more comes: end it with what is on record",
}


class SliceAnswerForm(forms.Form):
    """What became of an order that waits for people's word."""

    answer = forms.TypedChoiceField(choices=list(ANSWERS.items()), coerce=SliceAnswer)
    reason = forms.CharField(max_length=NOTE_LENGTH_MAX, label="How you know")


class ResolutionForm(forms.Form):
    """How a report that fitted nothing was dealt with."""

    resolution = forms.CharField(max_length=NOTE_LENGTH_MAX, label="How it was dealt with")
