// SPDX-License-Identifier: MIT
// Printing results: the same rows as an aligned table for people or as JSON for programs, and the
// few formats (sizes, times, UUIDs, bytes) that all subcommands share.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace exo::tool {

using Json = nlohmann::ordered_json;

// One column: its heading, and the member of each row that it shows.
struct Column {
    std::string heading;
    std::string member;
};

// Prints an array of objects; `columns` only matter for the table. Says `when_empty` in place of an
// empty table.
void print_rows(bool json, const Json& rows, const std::vector<Column>& columns,
                const std::string& when_empty);

// Prints one object, a line for each member.
void print_object(bool json, const Json& object);

// Bytes that may not be text, as a member of a JSON object: as they are if they are UTF-8, else
// NAME_hex.
void put_bytes(Json& object, const std::string& name, std::string_view bytes);

// Bytes within a line of text: control characters as \xNN.
std::string printable(std::string_view bytes);

std::string size_text(uint64_t bytes);         // "4.0 GiB"
uint64_t parse_size(const std::string& text);  // "512M", "4G", "4096"; throws Failure
std::string time_text(uint64_t realtime_ns);   // "2026-01-31 12:34:56.789"
std::string uuid_text(const uint8_t uuid[16]);
// A kernel's fixed-size character array, which may lack the terminating zero; unprintable bytes as
// '?'.
std::string fixed_text(const char* text, size_t capacity);

}  // namespace exo::tool
