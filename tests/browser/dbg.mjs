import { openDemo, openPage, pane, startBrowser } from "./browser.mjs";
import { startTertulia } from "./tertulia.mjs";
import { createServer } from "node:http"; import {readFileSync} from "node:fs";
const t=await startTertulia(); const b=await startBrowser(); const {page,complaints}=await openPage(b);
page.on('console',m=>console.log(m.text()));
const sdk=readFileSync('node_modules/@twilio/conversations/builds/twilio-conversations.min.js');
const s=createServer((q,r)=>{r.setHeader("content-type", q.url=="/sdk.js" ? "text/javascript" : "text/html");r.end(q.url=='/sdk.js'?sdk:'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script src="/sdk.js"></script>')}).listen(0,'127.0.0.1');
await new Promise(r=>setTimeout(r,200));
await page.goto('http://localhost:'+s.address().port);
const password=t.env.TERTULIA_DEV_PASSWORD;
const r=await Promise.race([new Promise(r=>setTimeout(r,8000)),page.evaluate(async({url,uri,password})=>{
 const token=await(await fetch(url+'/token?identity=alice&password='+password)).text();
 const c=new Twilio.Conversations.Client(token,{Twilsock:{uri}}); for(const e of ['initialized','initFailed','connectionError','connectionStateChanged','stateChanged','conversationAdded','messageAdded']) c.on(e,x=>console.log(e,String(x?.message??x)));
 await new Promise(r=>c.on('initialized',r)); console.log('A');
 const v=await c.createConversation(); console.log('created'); await v.join(); console.log('joined'); await v.add('bob'); console.log('added'); await v.sendMessage('x'); console.log('sent');await c.shutdown();console.log('down');
},{url:t.url,uri:t.env.TERTULIA_TWILSOCK_URI,password})]);
console.log(r);
await b.close(); await t.stop(); s.close();
