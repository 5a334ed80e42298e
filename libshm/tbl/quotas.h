/* SPDX-License-Identifier: MIT
 *
 * How much one may have of an mpd: QUOTA(NAME, field, "option", "default", "what is counted").
 * Numbers on the wire are places in this table: new rows go to its end. Defaults hold where mpd
 * serves several users; elsewhere a quota holds only if it was set. Does not know: what is used. */
QUOTA(USER_BYTES, user_bytes, "user-bytes", "4398046511104",
      "bytes of all segments of one user, by their largest sizes")
QUOTA(USER_SEGMENTS, user_segments, "user-segments", "256", "segments of one user")
QUOTA(USER_CONNECTIONS, user_connections, "user-connections", "1024",
      "processes of one user that speak to mpd")
QUOTA(USER_SLOTS, user_slots, "user-slots", "4096", "processes in all segments of one user")
QUOTA(USER_OPENS, user_opens, "user-opens", "1024",
      "opens under way of all processes of one user")
QUOTA(CLIENT_BYTES, client_bytes, "client-bytes", "1099511627776",
      "bytes of all segments that one process has made")
QUOTA(CLIENT_SEGMENTS, client_segments, "client-segments", "128",
      "segments that one process has made")
QUOTA(CLIENT_CONNECTIONS, client_connections, "client-connections", "32",
      "connections of one process")
QUOTA(CLIENT_SLOTS, client_slots, "client-slots", "512",
      "segments that one process is attached to")
QUOTA(CLIENT_OPENS, client_opens, "client-opens", "256", "opens under way of one process")
