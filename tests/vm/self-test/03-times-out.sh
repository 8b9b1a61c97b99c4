#!/bin/bash
# SPDX-License-Identifier: MIT
# Goes on beyond its limit, deaf to SIGTERM, with a child in another session.
# time-limit: 1
trap '' TERM
setsid sleep 1000 &
while :; do
    sleep 1
done
