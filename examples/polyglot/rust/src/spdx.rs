// SPDX-License-Identifier: Apache-2.0
//! What a licence expression comes to. It knows the common licences; any other is unknown, which is a verdict too.

use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    #[serde(rename = "permissive")]
    Permissive,
    #[serde(rename = "weak copyleft")]
    WeakCopyleft,
    #[serde(rename = "strong copyleft")]
    StrongCopyleft,
    #[serde(rename = "unknown")]
    Unknown,
}

const PERMISSIVE: &str = "0BSD AFL-2.1 AFL-3.0 Apache-1.1 Apache-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-3-Clause \
    BSD-4-Clause BSL-1.0 CC0-1.0 CC-BY-4.0 HPND ISC MIT MIT-0 NCSA OpenSSL PostgreSQL PSF-2.0 Python-2.0 Python-2.0.1 TCL \
    Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 W3C X11 Zlib ZPL-2.0 ZPL-2.1";
const WEAK: &str = "Artistic-2.0 CDDL-1.0 CDDL-1.1 EPL-1.0 EPL-2.0 MPL-1.1 MPL-2.0 LGPL-2.0-only LGPL-2.0-or-later \
    LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later Classpath-exception-2.0 GCC-exception-2.0 \
    GCC-exception-3.1 LLVM-exception";
const STRONG: &str = "AGPL-3.0-only AGPL-3.0-or-later GPL-1.0-only GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later \
    GPL-3.0-only GPL-3.0-or-later OSL-3.0";

/// The strictest of what AND joins, the mildest of what OR offers; unknown where it depends on one that is.
pub fn verdict(expression: &str) -> Verdict {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut words = Words(spaced.split_whitespace().collect());
    words.0.reverse();
    let found = words.either();
    if words.0.is_empty() { found } else { Verdict::Unknown }
}

/// What is left of the expression, its next word last.
struct Words<'a>(Vec<&'a str>);

impl Words<'_> {
    fn either(&mut self) -> Verdict {
        let mut found = self.all();
        while self.next("OR") {
            found = found.min(self.all());
        }
        found
    }

    fn all(&mut self) -> Verdict {
        let mut found = self.one();
        while self.next("AND") {
            found = found.max(self.one());
        }
        found
    }

    fn one(&mut self) -> Verdict {
        if self.next("(") {
            let inner = self.either();
            return if self.next(")") { inner } else { Verdict::Unknown };
        }
        let licence = self.named();
        if self.next("WITH") { self.named() } else { licence } // an exception is listed with what it makes of the licence
    }

    fn named(&mut self) -> Verdict {
        let id = self.0.pop().unwrap_or_default();
        let among = |ids: &str| ids.split(' ').any(|one| one.eq_ignore_ascii_case(id));
        match () {
            () if among(PERMISSIVE) => Verdict::Permissive,
            () if among(WEAK) => Verdict::WeakCopyleft,
            () if among(STRONG) => Verdict::StrongCopyleft,
            () => Verdict::Unknown,
        }
    }

    fn next(&mut self, word: &str) -> bool {
        self.0.pop_if(|next| next.eq_ignore_ascii_case(word)).is_some()
    }
}
