"""Whether a server answers: `python -IS health.py URL` ends with 0 where it says 200, else with 1 and the reason.

Images for containers have no curl. No proxy is asked, because the server is this container's own.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT = 5.0  # seconds


def main(url: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(url, timeout=TIMEOUT).close()
    except (OSError, ValueError) as error:
        sys.exit(f"{url}: {error}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("expected one address, as http://127.0.0.1:8400/healthz")
    main(sys.argv[1])
