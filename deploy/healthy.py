"""The health check of the images: 0 where the service answers, on whatever platform it runs."""

import os
import sys
import urllib.request


def main() -> int:
    """Ask the address that is open without a token."""
    port = os.environ.get("AIP_HTTP_PORT") or os.environ.get("SAGEMAKER_BIND_TO_PORT")
    path = os.environ.get("AIP_HEALTH_ROUTE", "/health") if "AIP_HTTP_PORT" in os.environ else "/ping"
    if os.environ.get("ADAINKIT_SERVE_PLATFORM") in ("sagemaker", "vertex"):
        port = port or "8080"
        path = "/ping" if os.environ["ADAINKIT_SERVE_PLATFORM"] == "sagemaker" else path
    if not port:
        port, path = os.environ.get("ADAINKIT_SERVE_PORT", "8765"), "/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=4) as answer:
            return int(answer.status != 200)
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
