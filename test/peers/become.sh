# SPDX-License-Identifier: Apache-2.0
# A server that answers its first message itself and then becomes another program.
# Leaves what it read and wrote, and its pid, in the directory $1; the rest is the program.
directory=$1
shift
echo $$ >"$directory/become.pid"
IFS= read -r line
printf '%s\n' "$line" >"$directory/become.received"
answer='{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"shell-server","version":"0"}}}'
printf '%s\n' "$answer" >"$directory/become.sent"
printf '%s\n' "$answer"
exec "$@"
