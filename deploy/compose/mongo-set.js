// Makes the replica set of one member and the shop's user. It may be run again.
const host = "mongo:27017";
db = connect(`mongodb://${host}/admin?directConnection=true`);
db.auth("root", process.env.MONGO_ROOT_PASSWORD);

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: host }] });
}

const until = Date.now() + 60000;
while (!db.hello().isWritablePrimary) {
  if (Date.now() > until) throw new Error("no primary after a minute");
  sleep(200);
}

// readWrite: the journal. dbAdmin: `troupe setup` makes collections, validators and indices.
const shop = db.getSiblingDB("troupe");
const roles = [{ role: "readWrite", db: "troupe" }, { role: "dbAdmin", db: "troupe" }];
if (shop.getUser("troupe") === null) {
  shop.createUser({ user: "troupe", pwd: process.env.MONGO_PASSWORD, roles: roles });
} else {
  shop.updateUser("troupe", { pwd: process.env.MONGO_PASSWORD, roles: roles });
}
