"""Says by its exit code whether the web server or beat of this container is alive. Run by path,
`python -P robo/healthcheck.py web`, because importing the package would load all of Celery.
"""

import glob
import http.client
import os
import sys
import time

_WEB_TIMEOUT_SECONDS = 5
# Beat writes its schedule file every three minutes even when nothing is due.
_BEAT_SILENCE_SECONDS_MAX = 600


def web_answers(*, port: int) -> bool:
    """Say whether the health page of this machine answers 200."""
    # The page is asked for under a name that Django allows, whatever address it listens on.
    allowed = os.environ.get("DJANGO_ALLOWED_HOSTS", "localhost").split(",")[0].lstrip(".*")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WEB_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/", headers={"Host": allowed or "localhost"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def beat_ticks(*, schedule: str, now: float) -> bool:
    """Say whether beat has written its schedule lately; the file may carry a suffix."""
    written_at = max((os.path.getmtime(path) for path in glob.glob(f"{schedule}*")), default=0.0)
    return now - written_at < _BEAT_SILENCE_SECONDS_MAX


if __name__ == "__main__":
    if sys.argv[1:2] == ["web"]:
        is_alive = web_answers(port=int(os.environ.get("PORT", "8000")))
    elif sys.argv[1:2] == ["beat"] and len(sys.argv) == 3:
        is_alive = beat_ticks(schedule=sys.argv[2], now=time.time())
    else:
        sys.exit("Usage: python -P robo/healthcheck.py web | beat SCHEDULE_FILE")
    sys.exit(not is_alive)
