// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) double area(double r) { return r * r * 3.1415; }
__attribute__((noinline)) double round_trip(double r) { return r * 2.718281828 - 0.577215664; }
__attribute__((noinline)) float half(float r) { return r * 0.3333f; }

int main(int argc, char **argv) { return (int)(area(argc) + round_trip(argc) + half(argc)); }
