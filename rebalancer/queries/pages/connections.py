"""What the page of the broker shows: the connection, without anything secret."""

from rebalancer import models


def find_connection(firm_id: int) -> models.BrokerConnection | None:
    """Return how a firm's broker is reached; None where it is the paper broker by default."""
    return (
        models.BrokerConnection.objects.filter(firm_id=firm_id)
        .select_related("connected_by")
        .first()
    )
