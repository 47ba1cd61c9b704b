// SPDX-License-Identifier: GPL-2.0-or-later

int unrelated(int a) { return a * 3; }

int main(int argc, char **argv) { return unrelated(argc); }
