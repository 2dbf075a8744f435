#!/bin/sh
# The steps of the Dockerfile without Docker: the files that .dockerignore lets through, a fresh environment, the
# entry point under the image's user, a root that cannot be written, and no network but loopback. Needs Linux, root, git.
#   deploy/rehearse.sh [FOLDER]      FOLDER holds the environment, and is kept for the next time; default: a new one
# PYTHON: the interpreter, which other users can run (python3). PACKAGES: a folder of site-packages that has what adainkit
# depends on already: it stands in for the download of torch. PIP: the pip that installs (the environment's own).
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder/src"
sed -n 's/^!//p' "$repository/.dockerignore" | while read -r path; do
    (cd "$repository" && git ls-files -- "$path") | (cd "$repository" && tar -cf - -T -) | tar -xf - -C "$folder/src"
done
if [ -n "${PACKAGES:-}" ]; then
    [ -d "$folder/venv" ] || "${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
    echo "$PACKAGES" > "$(echo "$folder"/venv/lib/python3.*/site-packages)/stand-in.pth"
    "$PIP" --python "$folder/venv/bin/python" install --quiet --force-reinstall --no-deps "$folder/src"
else
    [ -d "$folder/venv" ] || "${PYTHON:-python3}" -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet "$folder/src[serve]"
    "$folder/venv/bin/pip" install --quiet --force-reinstall --no-deps "$folder/src"
fi
cp "$folder/src/deploy/healthy.py" "$folder/venv/healthy.py"
chmod -R a+rX "$folder"
trial='
set -eu
ip link set lo up 2>/dev/null || true
mount -o remount,bind,ro / 2>/dev/null || mount -o remount,ro / 2>/dev/null || echo "the root stays writable here"
mount -t tmpfs -o size=2g,mode=1777 trial /tmp
cd /tmp
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all \
    env -i PATH="$1/venv/bin:/usr/bin:/bin" HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ADAINKIT_HOME=/tmp/adainkit \
    ADAINKIT_OFFLINE=1 ADAINKIT_SERVE_HOST=0.0.0.0 ADAINKIT_SERVE_TOKEN="$2" OMP_NUM_THREADS=1 sh -euc "
    touch /etc/trial 2>/dev/null && echo \"/etc can be written\"
    adainkit serve &
    service=\$!
    tries=0
    until python \"$1/venv/healthy.py\"; do tries=\$((tries + 1)); [ \$tries -lt 60 ] || exit 1; sleep 1; done
    python - <<END
import time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(path, token=True):
    request = urllib.request.Request(\"http://127.0.0.1:8765\" + path)
    if token:
        request.add_header(\"Authorization\", \"Bearer $2\")
    return opener.open(request, timeout=60).read()
for _ in range(200):
    try:
        ask(\"/readyz\", False)
        break
    except OSError:
        time.sleep(0.3)
assert ask(\"/v1/styles/iris/thumbnail\")[:2] == bytes([255, 216])
assert b\"<html\" in ask(\"/\", False)
print(\"served a page and a picture as user\", __import__(\"os\").getuid())
END
    kill -TERM \$service
    wait \$service || true
    ls -A /tmp
"'
unshare --mount --net sh -c "$trial" trial "$folder" "0123456789abcdef0123456789abcdef"
