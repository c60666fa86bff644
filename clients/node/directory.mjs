// npm @did-plc/server in memory, in place of Allod's own directory. Listens on the port given and stops when
// its standard input ends, so that it never outlives whoever started it.
import { Database, PlcServer } from '@did-plc/server'

const port = Number(process.argv[2])
if (!Number.isInteger(port) || port <= 0) throw new Error('usage: node directory.mjs PORT')
const server = PlcServer.create({ db: Database.mock(), port })
await server.start()
console.log(`listening on ${port}`)
process.stdin.resume()
process.stdin.on('end', () => server.destroy().then(() => process.exit(0)))
