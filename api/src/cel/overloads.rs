//! The functions there are, with the types they take. A name with a leading dot is called on its first argument.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Type;

/// One way to call a function.
pub(super) struct Overload {
    pub member: bool,
    pub parameters: Vec<Type>,
    pub result: Type,
}

/// The overloads of a name.
pub(super) fn of(name: &str) -> Option<&'static [Overload]> {
    TABLE.get(name).map(Vec::as_slice)
}

type Table = HashMap<&'static str, Vec<Overload>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    listed(&mut table);
    comparisons(&mut table);
    orders(&mut table);
    table
});

/// Kinds whose values have an order among themselves.
const ORDERED: [&str; 8] = ["bool", "int", "uint", "double", "string", "bytes", "time", "duration"];

fn listed(table: &mut Table) {
    for line in LINES.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let (Some(name), Some(parameters), Some(result)) = (words.next(), words.next(), words.next()) else { continue };
        let (member, name) = match name.strip_prefix('.') {
            Some(name) => (true, name),
            None => (false, name),
        };
        let parameters = parameters.split(';').filter(|text| *text != "-").map(Type::read).collect();
        table.entry(name).or_default().push(Overload { member, parameters, result: Type::read(result) });
    }
}

/// What is less than what: values of one kind, and numbers of any.
fn comparisons(table: &mut Table) {
    let plain = ORDERED.map(|kind| [kind, kind]);
    let mixed = [
        ["int", "uint"],
        ["int", "double"],
        ["uint", "int"],
        ["uint", "double"],
        ["double", "int"],
        ["double", "uint"],
    ];
    for name in ["_<_", "_<=_", "_>_", "_>=_"] {
        let made = plain.iter().chain(&mixed).map(|pair| Overload {
            member: false,
            parameters: pair.iter().map(|kind| Type::read(kind)).collect(),
            result: Type::Bool,
        });
        table.entry(name).or_default().extend(made);
    }
}

/// What lists of values that have an order can do.
fn orders(table: &mut Table) {
    let mut add = |name, parameters: Vec<Type>, result| {
        table.entry(name).or_default().push(Overload { member: true, parameters, result });
    };
    for kind in ORDERED.map(Type::read) {
        let list = Type::list(kind.clone());
        let any = Type::list(Type::Var('A'));
        add("min", vec![list.clone()], kind.clone());
        add("max", vec![list.clone()], kind);
        add("isSorted", vec![list.clone()], Type::Bool);
        add("sort", vec![list.clone()], list.clone());
        add("@sortByAssociatedKeys", vec![any.clone(), list], any);
    }
    for kind in ["int", "uint", "double", "duration"].map(Type::read) {
        add("sum", vec![Type::list(kind.clone())], kind);
    }
}

const LINES: &str = "
_==_ A;A bool
_!=_ A;A bool
_&&_ bool;bool bool
_||_ bool;bool bool
!_ bool bool
@not_strictly_false bool bool
_?_:_ bool;A;A A
-_ int int
-_ double double
_+_ int;int int
_+_ uint;uint uint
_+_ double;double double
_+_ string;string string
_+_ bytes;bytes bytes
_+_ list<A>;list<A> list<A>
_+_ duration;duration duration
_+_ time;duration time
_+_ duration;time time
_-_ int;int int
_-_ uint;uint uint
_-_ double;double double
_-_ duration;duration duration
_-_ time;duration time
_-_ time;time duration
_*_ int;int int
_*_ uint;uint uint
_*_ double;double double
_/_ int;int int
_/_ uint;uint uint
_/_ double;double double
_%_ int;int int
_%_ uint;uint uint
_[_] list<A>;int A
_[_] map<A,B>;A B
_[_] optional<list<A>>;int optional<A>
_[_] optional<map<A,B>>;A optional<B>
_[?_] list<A>;int optional<A>
_[?_] map<A,B>;A optional<B>
_[?_] optional<list<A>>;int optional<A>
_[?_] optional<map<A,B>>;A optional<B>
_?._ dyn;string optional<dyn>
@in A;list<A> bool
@in A;map<A,B> bool
cel.@mapInsert map<A,B>;A;B map<A,B>
cel.@mapInsert map<A,B>;map<A,B> map<A,B>
size string int
size bytes int
size list<A> int
size map<A,B> int
.size string int
.size bytes int
.size list<A> int
.size map<A,B> int
int int int
int uint int
int double int
int string int
int time int
int duration int
uint uint uint
uint int uint
uint double uint
uint string uint
double double double
double int double
double uint double
double string double
string string string
string int string
string uint string
string double string
string bool string
string bytes string
string time string
string duration string
bytes bytes bytes
bytes string bytes
bool bool bool
bool string bool
timestamp time time
timestamp string time
timestamp int time
duration duration duration
duration int duration
duration string duration
type A type<A>
dyn A dyn
matches string;string bool
.matches string;string bool
.contains string;string bool
.startsWith string;string bool
.endsWith string;string bool
.getFullYear time int
.getFullYear time;string int
.getMonth time int
.getMonth time;string int
.getDate time int
.getDate time;string int
.getDayOfMonth time int
.getDayOfMonth time;string int
.getDayOfWeek time int
.getDayOfWeek time;string int
.getDayOfYear time int
.getDayOfYear time;string int
.getHours time int
.getHours time;string int
.getHours duration int
.getMinutes time int
.getMinutes time;string int
.getMinutes duration int
.getSeconds time int
.getSeconds time;string int
.getSeconds duration int
.getMilliseconds time int
.getMilliseconds time;string int
.getMilliseconds duration int
.charAt string;int string
.indexOf string;string int
.indexOf string;string;int int
.lastIndexOf string;string int
.lastIndexOf string;string;int int
.lowerAscii string string
.upperAscii string string
.replace string;string;string string
.replace string;string;string;int string
.split string;string list<string>
.split string;string;int list<string>
.substring string;int string
.substring string;int;int string
.trim string string
.format string;list<dyn> string
.join list<string> string
.join list<string>;string string
.find string;string string
.findAll string;string list<string>
.findAll string;string;int list<string>
.indexOf list<A>;A int
.lastIndexOf list<A>;A int
.first list<A> optional<A>
.last list<A> optional<A>
.flatten list<list<A>> list<A>
.flatten list<dyn>;int list<dyn>
.slice list<A>;int;int list<A>
.distinct list<A> list<A>
.reverse list<A> list<A>
.unwrapOpt list<optional<A>> list<A>
lists.range int list<int>
sets.contains list<A>;list<A> bool
sets.equivalent list<A>;list<A> bool
sets.intersects list<A>;list<A> bool
strings.quote string string
optional.of A optional<A>
optional.none - optional<A>
optional.ofNonZeroValue A optional<A>
optional.unwrap list<optional<A>> list<A>
.hasValue optional<A> bool
.value optional<A> A
.or optional<A>;optional<A> optional<A>
.orValue optional<A>;A A
url string kubernetes.URL
isURL string bool
.getScheme kubernetes.URL string
.getHost kubernetes.URL string
.getHostname kubernetes.URL string
.getPort kubernetes.URL string
.getEscapedPath kubernetes.URL string
.getQuery kubernetes.URL map<string,list<string>>
quantity string kubernetes.Quantity
isQuantity string bool
sign kubernetes.Quantity int
.isGreaterThan kubernetes.Quantity;kubernetes.Quantity bool
.isLessThan kubernetes.Quantity;kubernetes.Quantity bool
.compareTo kubernetes.Quantity;kubernetes.Quantity int
.asInteger kubernetes.Quantity int
.isInteger kubernetes.Quantity bool
.asApproximateFloat kubernetes.Quantity double
.add kubernetes.Quantity;kubernetes.Quantity kubernetes.Quantity
.add kubernetes.Quantity;int kubernetes.Quantity
.sub kubernetes.Quantity;kubernetes.Quantity kubernetes.Quantity
.sub kubernetes.Quantity;int kubernetes.Quantity
ip string net.IP
isIP string bool
ip.isCanonical string bool
.family net.IP int
.isUnspecified net.IP bool
.isLoopback net.IP bool
.isLinkLocalMulticast net.IP bool
.isLinkLocalUnicast net.IP bool
.isGlobalUnicast net.IP bool
cidr string net.CIDR
isCIDR string bool
.ip net.CIDR net.IP
.masked net.CIDR net.CIDR
.prefixLength net.CIDR int
.containsIP net.CIDR;net.IP bool
.containsIP net.CIDR;string bool
.containsCIDR net.CIDR;net.CIDR bool
.containsCIDR net.CIDR;string bool
string net.IP string
string net.CIDR string
semver string kubernetes.Semver
semver string;bool kubernetes.Semver
isSemver string bool
isSemver string;bool bool
.major kubernetes.Semver int
.minor kubernetes.Semver int
.patch kubernetes.Semver int
.isGreaterThan kubernetes.Semver;kubernetes.Semver bool
.isLessThan kubernetes.Semver;kubernetes.Semver bool
.compareTo kubernetes.Semver;kubernetes.Semver int
format.named string optional<kubernetes.NamedFormat>
.validate kubernetes.NamedFormat;string optional<list<string>>
format.dns1123Label - kubernetes.NamedFormat
format.dns1123Subdomain - kubernetes.NamedFormat
format.dns1035Label - kubernetes.NamedFormat
format.dns1123LabelPrefix - kubernetes.NamedFormat
format.dns1123SubdomainPrefix - kubernetes.NamedFormat
format.dns1035LabelPrefix - kubernetes.NamedFormat
format.qualifiedName - kubernetes.NamedFormat
format.labelValue - kubernetes.NamedFormat
format.uri - kubernetes.NamedFormat
format.uuid - kubernetes.NamedFormat
format.byte - kubernetes.NamedFormat
format.date - kubernetes.NamedFormat
format.datetime - kubernetes.NamedFormat
jsonpatch.escapeKey string string
.path kubernetes.authorization.Authorizer;string kubernetes.authorization.PathCheck
.group kubernetes.authorization.Authorizer;string kubernetes.authorization.GroupCheck
.serviceAccount kubernetes.authorization.Authorizer;string;string kubernetes.authorization.Authorizer
.resource kubernetes.authorization.GroupCheck;string kubernetes.authorization.ResourceCheck
.subresource kubernetes.authorization.ResourceCheck;string kubernetes.authorization.ResourceCheck
.namespace kubernetes.authorization.ResourceCheck;string kubernetes.authorization.ResourceCheck
.name kubernetes.authorization.ResourceCheck;string kubernetes.authorization.ResourceCheck
.fieldSelector kubernetes.authorization.ResourceCheck;string kubernetes.authorization.ResourceCheck
.labelSelector kubernetes.authorization.ResourceCheck;string kubernetes.authorization.ResourceCheck
.check kubernetes.authorization.PathCheck;string kubernetes.authorization.Decision
.check kubernetes.authorization.ResourceCheck;string kubernetes.authorization.Decision
.allowed kubernetes.authorization.Decision bool
.reason kubernetes.authorization.Decision string
.errored kubernetes.authorization.Decision bool
.error kubernetes.authorization.Decision string
";
