// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/** What a licence expression comes to. It knows the common licences; any other is unknown, which is a verdict too. */
final class Spdx {
  private static final List<String> VERDICTS = List.of("permissive", "weak copyleft", "strong copyleft", "unknown");
  private static final int UNKNOWN = 3;
  private static final Pattern WORD = Pattern.compile("[()]|[^\\s()]+");
  private static final Map<String, Integer> WEIGHTS = new HashMap<>();

  static {
    know(0, "0BSD AFL-2.1 AFL-3.0 Apache-1.1 Apache-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause BSD-4-Clause"
        + " BSL-1.0 CC0-1.0 CC-BY-4.0 HPND ISC MIT MIT-0 NCSA OpenSSL PostgreSQL PSF-2.0 Python-2.0 Python-2.0.1 TCL Unicode-3.0"
        + " Unicode-DFS-2016 Unlicense UPL-1.0 W3C X11 Zlib ZPL-2.0 ZPL-2.1");
    know(1, "Artistic-2.0 CDDL-1.0 CDDL-1.1 EPL-1.0 EPL-2.0 MPL-1.1 MPL-2.0 LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only"
        + " LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later Classpath-exception-2.0 GCC-exception-3.1 GCC-exception-2.0"
        + " LLVM-exception");
    know(2, "AGPL-3.0-only AGPL-3.0-or-later GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only"
        + " GPL-3.0-or-later OSL-3.0");
  }

  private final Deque<String> words = new ArrayDeque<>();

  private Spdx(String expression) { WORD.matcher(expression).results().forEach(word -> words.add(word.group())); }

  /** The strictest of what AND joins, the mildest of what OR offers; unknown where it depends on one that is. */
  static String verdict(String expression) {
    Spdx parser = new Spdx(expression);
    int weight = parser.either();
    return VERDICTS.get(parser.words.isEmpty() ? weight : UNKNOWN);
  }

  private static void know(int weight, String ids) { for (String id : ids.split(" ")) WEIGHTS.put(id.toLowerCase(Locale.ROOT), weight); }

  private int either() { return Collections.min(joined("OR", () -> Collections.max(joined("AND", this::one)))); }

  private List<Integer> joined(String operator, Supplier<Integer> below) {
    List<Integer> parts = new ArrayList<>(List.of(below.get()));
    while (next(operator)) parts.add(below.get());
    return parts;
  }

  private int one() {
    if (next("(")) {
      int inner = either();
      return next(")") ? inner : UNKNOWN;
    }
    int weight = words.isEmpty() ? UNKNOWN : weigh(words.poll());
    return next("WITH") && !words.isEmpty() ? weigh(words.poll()) : weight; // an exception is listed with what it makes of it
  }

  private boolean next(String word) { return !words.isEmpty() && words.peek().equalsIgnoreCase(word) && words.poll() != null; }

  private static int weigh(String id) { return WEIGHTS.getOrDefault(id.toLowerCase(Locale.ROOT), UNKNOWN); }
}
