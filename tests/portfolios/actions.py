"""Corporate actions that two people have put on record."""

from accounts.domain.roles import Role
from accounts.models import Firm, User
from portfolios.operations.corporate_actions import confirm_action, record_action
from tests import people


def announce_action(*, firm_id, details, market_date, actor_id):
    """Record an action, and have a supervisor of the firm confirm it."""
    row = record_action(
        firm_id=firm_id, details=details, market_date=market_date, actor_id=actor_id
    )
    confirm_action(action_id=row.pk, actor_id=_find_supervisor(firm_id).pk)
    row.refresh_from_db()
    return row


def _find_supervisor(firm_id):
    found = User.objects.filter(firm_id=firm_id, role=Role.SUPERVISOR, is_active=True).first()
    return found or people.make_user(Firm.objects.get(pk=firm_id), Role.SUPERVISOR)
