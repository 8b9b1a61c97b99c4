# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A C++ project from a Debian source package: TagLib, 265 source files, no libraries needed. Fetched
# once into the cache; Debian 12's version on every release, so that every run builds the same.
# Sourced after lib.sh.

# fetch_source: prints the archive's path.
fetch_source() {
    local folder=$EXO_CACHE/source archive mirror
    archive=$(find "$folder" -maxdepth 1 -name 'taglib_*.orig.tar.gz' 2>/dev/null | sed -n 1p)
    if [ -z "$archive" ]; then
        mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
        # shellcheck disable=SC2016  # apt expands it
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep '/debian/$' | sed -n 1p)
        echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
            "${mirror:-http://deb.debian.org/debian/} bookworm main" >"$folder/sources.list"
        (
            cd "$folder"
            options=(-q -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=-
                -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache")
            apt-get "${options[@]}" update && apt-get "${options[@]}" source --download-only taglib
            rm -rf lists cache
        ) >"$folder/fetch.log" 2>&1 || true
        archive=$(find "$folder" -maxdepth 1 -name 'taglib_*.orig.tar.gz' | sed -n 1p)
    fi
    [ -n "$archive" ] || return 1
    echo "$archive"
}

# configure_source TREE BUILD
configure_source() {
    cmake -S "$1" -B "$2" -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O0 -ffile-prefix-map=$1=." \
        -DBUILD_EXAMPLES=ON -DBUILD_SHARED_LIBS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON \
        -DBUILD_TESTING=OFF --log-level=ERROR -Wno-dev >/dev/null
}

# The checksums of what a build made.
products() { # BUILD
    (cd "$1" && find . \( -name '*.o' -o -name '*.a' -o -path './examples/tag*' -type f \) \
        ! -path '*CMakeFiles/CMakeTmp*' -print0 | sort -z | xargs -0 sha256sum)
}
