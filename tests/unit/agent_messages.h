/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages as a good agent sends them, for tests. */
#ifndef MEMCTL_TEST_AGENT_MESSAGES_H
#define MEMCTL_TEST_AGENT_MESSAGES_H

#define HELLO                                                                                      \
    "{\"memctl-agent\":1,\"type\":\"hello\",\"seq\":0,\"version\":\"1.2.3\",\"kernel\":\"6.1.0\"," \
    "\"capabilities\":[\"memory\",\"telepathy\"]}"
#define REPORT_HEAD "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":1,"
#define SMALL_MEMORY "\"memory\":{\"total\":1000,\"free\":200,\"available\":600}"
#define REPORT_NUMBER(seq)                                                                         \
    "{\"memctl-agent\":1,\"type\":\"report\",\"seq\":" seq "," SMALL_MEMORY "}"
#define DISTRESS_WITH(seq, fields)                                                                 \
    "{\"memctl-agent\":1,\"type\":\"distress\",\"seq\":" seq "," fields "," SMALL_MEMORY "}"
#define DISTRESS(seq) DISTRESS_WITH(seq, "\"reason\":\"low\",\"rate\":5")
#define REPORT_OF(memory) REPORT_HEAD "\"memory\":{" memory "}}"
#define REPORT REPORT_OF("\"total\":1000,\"free\":200,\"available\":600")

#endif
