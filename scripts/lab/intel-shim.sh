#!/bin/sh
# Builds the library that stands for an Intel GPU (Mesa's src/intel/tools) inside a room, from the sources of the Mesa that the room has.
set -eu
target=/usr/lib/intel-shim
apt-get update -qq
apt-get install -qq -y --no-install-recommends meson ninja-build gcc g++ python3-mako python3-packaging python3-yaml bison flex \
  pkgconf libdrm-dev zlib1g-dev libexpat1-dev libzstd-dev dpkg-dev >/dev/null
rm -rf /root/mesa "$target.new"
mkdir -p /root/mesa
cd /root/mesa
apt-get source -qq mesa >/dev/null
cd mesa-*/
# All that is not the shim is left out.
off=''
for option in glx egl gbm gles1 gles2 shared-glapi xmlconfig valgrind libunwind lmsensors llvm; do off="$off -D$option=disabled"; done
# shellcheck disable=SC2086
meson setup build -Dtools=drm-shim,intel -Dvulkan-drivers= -Dgallium-drivers= -Dplatforms= -Dopengl=false -Dbuild-tests=false $off >/dev/null
ninja -C build src/intel/tools/libintel_noop_drm_shim.so >/dev/null
mkdir "$target.new"
cp build/src/intel/tools/libintel_noop_drm_shim.so "$target.new/"
mv "$target.new" "$target"
rm -rf /root/mesa
